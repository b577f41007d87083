/*
 * Files that are followed on the loop: a main file, and what lies in some folders. Says when something about them has changed.
 *
 * Heard of by inotify on the main file's folder and on those folders, which may come and go; besides, every 30 s it is looked what inotify does
 * not tell (links into other folders, network file systems). Links are followed to what they lead to, so the exchange of `..data` by
 * which Kubernetes changes the volume of a ConfigMap is a change of the files, once. Names that begin with a dot are not looked at.
 *
 * A change is told when two looks 250 ms apart see the same, so a file that is being written is not read too early, and ten files
 * that are copied one after the other are one change. What is told is only that something is different: read it, it may be the same. So the
 * first is told soon after the start, since what was read before may have changed meanwhile.
 */
#pragma once

#include <stddef.h>

#include "lib/io/loop.h"

struct klx_watch_files;

/* file and folders are copied. Nothing has to exist. */
struct klx_watch_files *klx_watch_files_new(struct klx_loop *l, const char *file,
                                            const char *const *folders, size_t folders_n,
                                            void (*on_change)(void *arg), void *arg);
/* What is there now has been read: it is not told. Before reading, so that nothing is missed. */
void klx_watch_files_seen(struct klx_watch_files *w);
void klx_watch_files_free(struct klx_watch_files *w);
