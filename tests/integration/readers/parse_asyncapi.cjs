// Parses an AsyncAPI document on stdin with the parser of the AsyncAPI initiative. A line of JSON: what it holds, and what the parser says.
const fs = require("fs");
const { Parser } = require("@asyncapi/parser");

async function main() {
    const { document, diagnostics } = await new Parser().parse(fs.readFileSync(0, "utf8"));
    const channels = document?.channels().all().map((channel) => ({
        id: channel.id(),
        address: channel.address(),
        kafka: channel.bindings().get("kafka")?.value(),
        messages: channel.messages().all().map((message) => message.name()),
    }));
    const said = diagnostics.map(({ severity, code, message, path }) => ({ severity, code, message, path: path.join("/") }));
    process.stdout.write(`${JSON.stringify({ version: document?.version(), channels, said })}\n`);
}

main().catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
});
