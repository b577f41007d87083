#include "sinks/core/sink.h"

int main(int argc, char **argv) {
    return klx_sink_main(&klx_sink_ntfy, argc, argv);
}
