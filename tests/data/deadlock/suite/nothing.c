// SPDX-License-Identifier: GPL-2.0-only
/* A test that goes well, for what comes before the hang. */
int main(void)
{
	return 0;
}
