// SPDX-License-Identifier: GPL-2.0-only
/* Writes 4 MB to the console, in lines: none may be lost, none may stall us. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINES	4000
#define WIDTH	1000

int main(void)
{
	static char line[WIDTH + 1];
	int console = open("/dev/console", O_WRONLY | O_NOCTTY);

	if (console < 0) {
		perror("/dev/console");
		return 1;
	}
	for (int i = 0; i < LINES; i++) {
		memset(line, 'x', sizeof(line));
		sprintf(line, "flood %05d ", i);
		line[strlen(line)] = 'x';
		line[WIDTH - 1] = '\n';
		if (write(console, line, WIDTH) != WIDTH) {
			perror("write to /dev/console");
			return 1;
		}
	}
	printf("KTAP version 1\n1..1\nok 1 flood\n");
	return 0;
}
