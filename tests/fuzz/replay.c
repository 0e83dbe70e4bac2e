/*
 * The main of a fuzz target outside libFuzzer: feeds it the empty input and then every file of the
 * folders and files named as arguments, and reports one test (TAP). The name of each file is
 * printed before it is used, so that the last line of a crash names the culprit. A folder that does
 * not exist holds no inputs.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static void replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    struct stat meta;
    if (file == NULL || fstat(fileno(file), &meta) != 0) {
        perror(path);
        exit(1);
    }
    size_t size = (size_t)meta.st_size;
    /* Exactly as large as the input, so that the sanitizer sees a read past its end. */
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (data == NULL || fread(data, 1, size, file) != size) {
        perror(path);
        exit(1);
    }
    fclose(file);
    printf("# %s\n", path);
    fflush(stdout);
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
}

static int not_hidden(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static size_t replay_folder(const char *path) {
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, not_hidden, alphasort);
    if (count < 0 && errno != ENOENT) {
        perror(path);
        exit(1);
    }
    for (int i = 0; i < count; i++) {
        char name[4096];
        int length = snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
        if (length < 0 || (size_t)length >= sizeof(name)) {
            fprintf(stderr, "%s: path too long\n", path);
            exit(1);
        }
        replay_file(name);
        free(entries[i]);
    }
    free(entries);
    return count > 0 ? (size_t)count : 0;
}

int main(int argc, char **argv) {
    size_t inputs = 1;
    printf("1..1\n# empty input\n");
    fflush(stdout);
    (void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        struct stat meta;
        if (stat(argv[i], &meta) == 0 && S_ISREG(meta.st_mode)) {
            replay_file(argv[i]);
            inputs++;
        } else {
            inputs += replay_folder(argv[i]);
        }
    }
    printf("ok 1 - %zu inputs replayed\n", inputs);
    return 0;
}
