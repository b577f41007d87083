// Reads topics from their beginning with kafkajs and makes CloudEvents of the records with the SDK of npm.
// node read_topics.cjs BOOTSTRAP COUNT TOPIC…: a line of JSON for each event; ends after COUNT records.
const { Kafka, logLevel } = require("kafkajs");
const { Kafka: KafkaBinding } = require("cloudevents");

const [bootstrap, count, ...topics] = process.argv.slice(2);

function toLine(topic, message) {
    const headers = Object.fromEntries(Object.entries(message.headers).map(([name, value]) => [name, value.toString()]));
    const event = KafkaBinding.toEvent({ key: message.key?.toString(), value: message.value.toString(), headers, body: message.value.toString() });
    event.validate();
    return JSON.stringify({ topic, key: message.key?.toString(), event: event.toJSON() });
}

async function main() {
    const kafka = new Kafka({ clientId: "readers", brokers: [bootstrap], logLevel: logLevel.ERROR });
    const consumer = kafka.consumer({ groupId: `readers-${process.pid}` });
    let left = Number(count);
    await consumer.connect();
    await consumer.subscribe({ topics, fromBeginning: true });
    await new Promise((resolve, reject) => {
        consumer.on(consumer.events.CRASH, (crash) => reject(crash.payload.error));
        consumer.run({
            eachMessage: async ({ topic, message }) => {
                process.stdout.write(toLine(topic, message) + "\n");
                left -= 1;
                if (left === 0) resolve();
            },
        }).catch(reject);
    });
    await consumer.disconnect();
}

main().then(() => process.exit(0), (error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
});
