// Reads messages for Teams with Microsoft's own Adaptive Cards library, strictly: one JSON line for each file with what it has to say.
const fs = require("fs");
const { AdaptiveCard, SerializationContext, Versions } = require("adaptivecards/dist/adaptivecards.js");

for (const path of process.argv.slice(2)) {
    const { content } = JSON.parse(fs.readFileSync(path, "utf8")).attachments[0];
    const context = new SerializationContext(Versions.v1_4);
    const card = new AdaptiveCard();
    card.parse(content, context);
    const events = [];
    for (let i = 0; i < context.eventCount; i++) {
        events.push(context.getEventAt(i).message);
    }
    for (const failure of card.validateProperties().validationEvents) {
        events.push(failure.message);
    }
    const known = card.toJSON(new SerializationContext(Versions.v1_4));
    console.log(JSON.stringify({ path, events, kept: JSON.stringify(known), items: card.getItemCount() }));
}
