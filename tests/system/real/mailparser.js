// Reads messages (standard input: a JSON list of them in base64) with mailparser, and prints what it
// found in each as a JSON list. The first argument is the folder that mailparser is installed in.
"use strict";
const { createRequire } = require("module");
const { createHash } = require("crypto");
const { readFileSync } = require("fs");
const path = require("path");
const { simpleParser } = createRequire(path.join(process.argv[2], "x.js"))("mailparser");

const boxes = (list) => list.map((one) => [one.name, one.group ? boxes(one.group) : one.address]);
const addresses = (field) => (field ? [].concat(field) : []).flatMap((part) => boxes(part.value));

const read = async (message) => {
	const mail = await simpleParser(Buffer.from(message, "base64"),
		{ skipHtmlToText: true, skipTextToHtml: true, skipImageLinks: true });
	return {
		subject: mail.subject,
		from: addresses(mail.from),
		to: addresses(mail.to),
		cc: addresses(mail.cc),
		bcc: addresses(mail.bcc),
		reply_to: addresses(mail.replyTo),
		message_id: mail.messageId,
		date: mail.date,
		in_reply_to: mail.inReplyTo,
		references: mail.references ? [].concat(mail.references) : [],
		headers: mail.headerLines.filter(({ key }) => /^(x|list)-/.test(key)).map(({ key }) => key),
		text: mail.text,
		html: mail.html,
		attachments: mail.attachments.map((part) => ({
			filename: part.filename,
			content_type: part.contentType,
			content_id: part.contentId || null,
			disposition: part.contentDisposition,
			sha256: createHash("sha256").update(part.content).digest("hex"),
			text: part.contentType === "text/calendar" ? part.content.toString() : undefined,
		})),
	};
};

const readAll = async (messages) => {
	const found = [];
	for (const message of messages) found.push(await read(message)); // thousands: one by one
	return found;
};

readAll(JSON.parse(readFileSync(0)))
	.then((found) => process.stdout.write(JSON.stringify(found)))
	.catch((error) => { console.error(error); process.exit(1); });
