/*
 * Runs every file of the folders it is given through a fuzz target, once: the corpus as a plain test.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *dir, const char *name) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        return 1;
    }
    static uint8_t bytes[4 << 20];
    size_t n = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    /* A copy of its own size, so that the sanitizer sees a read past the end. */
    uint8_t *exact = malloc(n > 0 ? n : 1);
    if (exact == NULL) {
        return 1;
    }
    for (size_t i = 0; i < n; i++) {
        exact[i] = bytes[i];
    }
    int rc = LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    return rc;
}

int main(int argc, char **argv) {
    int files = 0;
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (d == NULL) {
            perror(argv[i]);
            return 1;
        }
        for (struct dirent *entry = readdir(d); entry != NULL; entry = readdir(d)) {
            if (entry->d_name[0] != '.') {
                if (run_file(argv[i], entry->d_name) != 0) {
                    return 1;
                }
                files++;
            }
        }
        closedir(d);
    }
    printf("%d inputs\n", files);
    return files > 0 ? 0 : 1; /* an empty corpus proves nothing */
}
