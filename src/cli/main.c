/* The program: everything is in cli.c. */
#include "cli/cli.h"
#include "jq/jq.h"
#include "os/memory.h"

int main(int argc, char *argv[]) {
    int code = 0;
    if (sp_jq_worker_main(argc, argv, &code)) {
        return code;
    }
    sp_memory_keep_small();
    return sp_cli_main(argc, argv);
}
