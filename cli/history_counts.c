#include "cli/history_counts.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/table.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"

#define OUTPUT_BYTES_MAX (4u << 20)

static void add_number(struct klx_table *t, int64_t n) {
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, n);
    klx_table_add(t, klx_sv(text));
}

static void add_time(struct klx_table *t, const struct klx_history_count *c, int64_t us) {
    char text[KLX_TIME_TEXT_BYTES] = "";
    if (c->selected > 0) {
        klx_time_format(us, KLX_TIME_MILLIS, text);
    }
    klx_table_add(t, klx_sv(text));
}

void klx_history_counts_print(const struct klx_history_read *h) {
    static const char *const heads[] = { "TOPIC",   "PARTITION", "FROM",  "TO",
                                         "RECORDS", "EVENTS",    "FIRST", "LAST" };
    struct klx_table table;
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    uint64_t read = 0;
    klx_buf_init(&out, OUTPUT_BYTES_MAX);
    klx_table_init(&table, heads, KLX_COUNT(heads));
    for (size_t i = 0; i < h->partitions_n; i++) {
        const struct klx_range_partition *p = &h->partitions[i];
        const struct klx_history_count *c = &h->counts[i];
        klx_table_add(&table, klx_sv(p->topic));
        add_number(&table, p->partition);
        add_number(&table, p->begin);
        add_number(&table, p->end);
        add_number(&table, (int64_t)c->read);
        add_number(&table, (int64_t)c->selected);
        add_time(&table, c, c->first_us);
        add_time(&table, c, c->last_us);
        read += c->read;
    }
    klx_table_write(&table, &out);
    klx_table_release(&table);
    printf("%s", klx_buf_str(&out));
    fflush(stdout);
    fprintf(stderr, "%s: %" PRIu64 " events of %" PRIu64 " records in %zu partitions (dry run)\n",
            h->command, h->selected, read, h->partitions_n);
}
