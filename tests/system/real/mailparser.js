// Reads a message on standard input with mailparser, and prints what it found as JSON.
// The first argument is the folder that mailparser is installed in.
"use strict";
const { createRequire } = require("module");
const { createHash } = require("crypto");
const path = require("path");
const { simpleParser } = createRequire(path.join(process.argv[2], "x.js"))("mailparser");

const addresses = (field) => (field ? [].concat(field) : [])
	.flatMap((part) => part.value.map(({ name, address }) => [name, address]));

simpleParser(process.stdin, { skipHtmlToText: true, skipTextToHtml: true, skipImageLinks: true })
	.then((mail) => process.stdout.write(JSON.stringify({
		subject: mail.subject,
		from: addresses(mail.from),
		to: addresses(mail.to),
		cc: addresses(mail.cc),
		bcc: addresses(mail.bcc),
		reply_to: addresses(mail.replyTo),
		message_id: mail.messageId,
		text: mail.text,
		html: mail.html,
		attachments: mail.attachments.map((part) => ({
			filename: part.filename,
			content_type: part.contentType,
			content_id: part.contentId || null,
			disposition: part.contentDisposition,
			sha256: createHash("sha256").update(part.content).digest("hex"),
		})),
	})))
	.catch((error) => { console.error(error); process.exit(1); });
