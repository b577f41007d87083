/*
 * Of the libraries that run now, which may be newer than those that were built with.
 */
#pragma once

const char *klx_version_librdkafka(void);
const char *klx_version_libcurl(void);
