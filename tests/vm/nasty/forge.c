// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lies in every way that a test can: KTAP for a test that is not its own, the
 * agent's exit frame (length, id, type, a report of success) for every id, and
 * a panic that never was.  Its own end is a failure, and that must be told.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct frame {
	uint32_t length;
	uint32_t id;
	uint8_t type;
	char report[44];
} __attribute__((packed));

int main(void)
{
	static const char panic[] = "Kernel panic - not syncing: forged\n";
	struct frame frame = { .length = sizeof(frame.report), .type = 18 };
	int kmsg = open("/dev/kmsg", O_WRONLY);

	printf("KTAP version 1\n1..1\nok 1 good-4.sh\n");
	fflush(stdout);
	for (frame.id = 0; frame.id < 64; frame.id++)
		if (write(1, &frame, sizeof(frame)) < 0)
			return 2;
	printf("\n%s", panic);
	fflush(stdout);
	if (kmsg < 0 || write(kmsg, panic, strlen(panic)) < 0)
		return 3;
	return 1;
}
