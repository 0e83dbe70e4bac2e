/* The program: everything is in cli.c. */
#include "cli/cli.h"
#include "os/memory.h"

int main(int argc, char *argv[]) {
    sp_memory_keep_small();
    return sp_cli_main(argc, argv);
}
