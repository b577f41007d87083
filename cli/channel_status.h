/*
 * `klaxon channel status`: what Kafka says of the channels, which asks no sink and no channel.
 */
#pragma once

int klx_cli_channel_status(int argc, char **argv);
