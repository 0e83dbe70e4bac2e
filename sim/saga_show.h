/*
 * `spoor-sim sweep` and `spoor-sim sagas`: sagas in a rehearsal, all small ones and any by seed.
 */
#ifndef SIM_SAGA_SHOW_H
#define SIM_SAGA_SHOW_H

/* Both take the arguments behind their name, and return the exit code. */
int saga_show_sweep(int argc, char **argv);
int saga_show_random(int argc, char **argv);

#endif
