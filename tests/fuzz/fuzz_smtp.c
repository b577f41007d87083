#include <stdint.h>

#include "lib/io/smtp_dialogue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a server may say, byte by byte or at once; the first byte says in which pieces, and how much leaves between two of them. A dialogue
   that ended well has a reply for every recipient, and one that was lost has an end. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct klx_smtp_recipient to[3] = { { .address = "a@x" },
                                        { .address = "b@x" },
                                        { .address = "c@x" } };
    struct klx_smtp_dialogue d;
    const struct klx_smtp_mail mail = { .from = "from@x",
                                        .recipients = to,
                                        .recipients_n = 3,
                                        .message = KLX_SV("Subject: x\r\n\r\n.\r\n"),
                                        .no_notices = size % 2 == 0 };
    klx_smtp_dialogue_init(&d, &mail, size % 3 == 0);
    klx_smtp_dialogue_start(&d, &(struct klx_smtp_offers){ .size = true, .dsn = true },
                            size % 5 == 0);
    size_t step = size > 0 && data[0] > 0 ? data[0] : 1;
    for (size_t i = 1; i < size; i += step) {
        struct klx_sv out = klx_smtp_dialogue_pending(&d);
        klx_smtp_dialogue_sent(&d, step % 7 == 0 && out.n > 1 ? out.n / 2 : out.n);
        klx_smtp_dialogue_read(&d,
                               klx_sv_n((const char *)data + i, size - i < step ? size - i : step));
    }
    klx_smtp_dialogue_lost(&d);
    if (d.step != KLX_SMTP_STEP_END || klx_smtp_dialogue_pending(&d).n > 0) {
        __builtin_trap();
    }
    for (size_t i = 0; d.failure == KLX_SMTP_OK && i < 3; i++) {
        if (to[i].code < 200) {
            __builtin_trap();
        }
    }
    klx_smtp_dialogue_release(&d);
    return 0;
}
