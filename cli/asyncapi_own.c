#include <stddef.h>

#include "cli/asyncapi_own.h"

#define TEXT(about) "{\"type\":\"string\",\"description\":\"" about "\"}"
#define WORD(about, words)                                                                         \
    "{\"type\":\"string\",\"description\":\"" about "\",\"enum\":[" words "]}"
#define TIME(about) "{\"type\":\"string\",\"format\":\"date-time\",\"description\":\"" about "\"}"

static const char parked_headers[] =
    "{\"allOf\":[{\"$ref\":\"#/components/schemas/headers\"},{\"type\":\"object\",\"required\":["
    "\"klaxon-channel\",\"klaxon-sink\",\"klaxon-team\",\"klaxon-subscription\",\"klaxon-reason\","
    "\"klaxon-severity\",\"klaxon-parked-since\",\"klaxon-original-topic\","
    "\"klaxon-original-partition\",\"klaxon-original-offset\",\"klaxon-original-timestamp\"],"
    "\"properties\":{"
    "\"klaxon-channel\":" TEXT(
        "the channel, as the key") ","
                                   "\"klaxon-sink\":" TEXT("the kind of channel") ","
                                                                                  "\"klaxon-"
                                                                                  "team\":" TEXT("t"
                                                                                                 "h"
                                                                                                 "e"
                                                                                                 " "
                                                                                                 "t"
                                                                                                 "e"
                                                                                                 "a"
                                                                                                 "m"
                                                                                                 " "
                                                                                                 "t"
                                                                                                 "h"
                                                                                                 "a"
                                                                                                 "t"
                                                                                                 " "
                                                                                                 "s"
                                                                                                 "u"
                                                                                                 "b"
                                                                                                 "s"
                                                                                                 "c"
                                                                                                 "r"
                                                                                                 "i"
                                                                                                 "b"
                                                                                                 "e"
                                                                                                 "d") ","
                                                                                                      "\"klaxon-subscription\":" TEXT("file and line of the subscription") ","
                                                                                                                                                                           "\"klaxon-reason\":" WORD("why it is told", "\"news\",\"reminder\",\"escalation\",\"digest\"") ","
                                                                                                                                                                                                                                                                          "\"klaxon-severity\":" WORD("as the subscription has it", "\"info\",\"warning\",\"critical\"") ","
                                                                                                                                                                                                                                                                                                                                                                         "\"klaxon-repeat\":" TEXT("of the n-th reminder or digest") ","
                                                                                                                                                                                                                                                                                                                                                                                                                                     "\"klaxon-digest\":" TEXT(
                                                                                                                                                                                                                                                                                                                                                                                                                                         "what a digest tells, as JSON") ","
                                                                                                                                                                                                                                                                                                                                                                                                                                                                         "\"klaxon-recipients\":" TEXT("JSON list of those without a final verdict; left out: all") ","
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    "\"klaxon-parked-since\":" TIME("when it was parked") ","
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          "\"klaxon-not-before\":" TIME(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              "the channel asked not to be tried before") ","
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          "\"klaxon-attempts\":" TEXT(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              "how often it was sent") ","
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       "\"klaxon-ambiguous\":" TEXT(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           "how often no answer came") ","
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       "\"klaxon-first-attempt\":" TIME("the first attempt") ","
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             "\"klaxon-last-attempt\":" TIME("the last attempt") ","
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                 "\"klaxon-verdict\":" TEXT("the class of the last answer") ","
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "\"klaxon-code\":" TEXT("the code of the last answer") ","
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                   "\"klaxon-answer\":" TEXT("the channel's own words") ","
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        "\"klaxon-original-topic\":" TEXT(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "where the event was read") ","
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        "\"klaxon-original-partition\":" TEXT(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "its partition") ","
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             "\"klaxon-original-offset\":" TEXT("its offset") ","
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              "\"klaxon-original-timestamp\":" TEXT("its timestamp in ms") ","
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           "\"klaxon-original-key\":" TEXT(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               "its key") "}}]}";

static const char circuit_payload[] =
    "{\"type\":\"object\",\"required\":[\"state\",\"sink\",\"updated\"],\"properties\":{"
    "\"state\":" WORD(
        "whether something is parked",
        "\"open\",\"closed\"") ","
                               "\"sink\":" TEXT(
                                   "the kind of channel") ","
                                                          "\"drainedTo\":{\"type\":"
                                                          "\"object\",\"description\":"
                                                          "\"up to where on "
                                                          "klaxon.retry all is done\","
                                                          "\"required\":["
                                                          "\"partition\",\"offset\"],"
                                                          "\"properties\":{"
                                                          "\"partition\":{\"type\":"
                                                          "\"integer\"},"
                                                          "\"offset\":{\"type\":"
                                                          "\"integer\"}}},"
                                                          "\"since\":" TIME(
                                                              "since when it has been "
                                                              "so") ","
                                                                    "\"reason\":" TEXT(
                                                                        "the code of "
                                                                        "the answer "
                                                                        "that opened "
                                                                        "it") ","
                                                                              "\"answe"
                                                                              "r\""
                                                                              ":" TEXT(
                                                                                  "the"
                                                                                  " ch"
                                                                                  "ann"
                                                                                  "el'"
                                                                                  "s "
                                                                                  "own"
                                                                                  " wo"
                                                                                  "rd"
                                                                                  "s") ","
                                                                                       "\"updated\""
                                                                                       ":" TIME(
                                                                                           "when "
                                                                                           "this "
                                                                                           "was "
                                                                                           "writte"
                                                                                           "n") "}"
                                                                                                "}";

static const char letter_payload[] =
    "{\"type\":\"object\",\"required\":[\"state\",\"at\",\"by\",\"letter\"],\"properties\":{"
    "\"state\":{\"type\":\"string\",\"description\":\"what was done about it\",\"examples\":["
    "\"redriven\",\"discarded\"]},"
    "\"at\":{\"type\":\"string\",\"format\":\"date-time\",\"description\":\"when\"},"
    "\"by\":{\"type\":\"string\",\"description\":\"who\"},"
    "\"reason\":{\"type\":\"string\",\"description\":\"why it was discarded\"},"
    "\"letter\":{\"type\":\"object\",\"description\":\"its record on klaxon.dlq; a later one of "
    "the "
    "same id is open\",\"required\":[\"partition\",\"offset\"],\"properties\":{"
    "\"partition\":{\"type\":\"integer\"},\"offset\":{\"type\":\"integer\"}}}}}";

static const char replay_payload[] =
    "{\"type\":\"object\",\"required\":[\"state\",\"at\",\"by\",\"reason\",\"to\"],\"properties\":{"
    "\"state\":{\"type\":\"string\",\"description\":\"how far it is\",\"examples\":["
    "\"begun\",\"resumed\",\"broken_off\",\"done\"]},"
    "\"at\":{\"type\":\"string\",\"format\":\"date-time\",\"description\":\"when this was "
    "written\"},"
    "\"by\":{\"type\":\"string\",\"description\":\"who\"},"
    "\"reason\":{\"type\":\"string\",\"description\":\"why\"},"
    "\"to\":{\"type\":\"string\",\"description\":\"channel/NAME or topic/NAME\"},"
    "\"since\":{\"type\":[\"string\",\"null\"],\"description\":\"the range; null: from the "
    "oldest record on\"},"
    "\"until\":{\"type\":\"string\",\"format\":\"date-time\",\"description\":\"its end\"},"
    "\"events\":{\"type\":\"integer\",\"description\":\"how many are meant\"},"
    "\"done\":{\"type\":\"integer\",\"description\":\"how many of them have been told\"}}}";

const struct klx_own_message klx_own_messages[] = {
    { KLX_TOPIC_RETRY, "parked", "Parked delivery",
      "An event that waits for a channel: its record as it was read, and what the delivery is in "
      "headers.",
      parked_headers, "{\"type\":\"object\",\"description\":\"the data of the event\"}" },
    { KLX_TOPIC_CONTROL, "circuit", "Circuit of a channel",
      "Whether deliveries of the channel are parked. Key: circuit/<channel>.", NULL,
      circuit_payload },
    { KLX_TOPIC_CONTROL, "letter", "What was done about a dead letter",
      "A dead letter was redriven or discarded. Key: dlq/<id of the dead letter>.", NULL,
      letter_payload },
    { KLX_TOPIC_CONTROL, "replay", "A replay",
      "Who has told what happened again, to whom and why. Key: replay/<replayid>.", NULL,
      replay_payload },
};
const size_t klx_own_messages_n = sizeof(klx_own_messages) / sizeof(klx_own_messages[0]);
