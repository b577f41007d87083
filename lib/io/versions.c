#include "lib/io/versions.h"

#include "lib/io/curl.h"
#include "lib/io/kafka.h"

const char *klx_version_librdkafka(void) {
    return rd_kafka_version_str();
}

const char *klx_version_libcurl(void) {
    return curl_version_info(CURLVERSION_NOW)->version;
}
