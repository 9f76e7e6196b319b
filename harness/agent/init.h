/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HARNESS_INIT_H
#define HARNESS_INIT_H

/* Make the root writable and mount what programs expect; we are process 1. */
void init_system(void);

/* The end of the guest, from process 1. */
_Noreturn void power_off(void);

/* A shell on the console if the kernel command line asks for one: then this
 * does not come back.  Else it cleans the environment.
 */
void init_shell(void);

#endif
