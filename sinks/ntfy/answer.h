/*
 * What an answer of ntfy means: 200 with the message that it has taken, or {"code":40101,"http":401,"error":"unauthorized",…}.
 */
#pragma once

#include "sinks/core/sink.h"

void klx_ntfy_judge(const struct klx_http_result *r, struct klx_verdict *ret);
