/*
 * `klaxon channel send`: a verb of `klaxon channel`.
 */
#pragma once

int klx_cli_channel_send(int argc, char **argv);
