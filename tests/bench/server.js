// The peer: what POST /send does, with Fastify and Nodemailer. JSON in (checked by a schema), a pool of
// kept SMTP sessions, the relay's own answer out. Schemas for the answers too, as Fastify writes those
// faster; no log.
// POST /send/form takes the same as multipart/form-data. Settings: PEER_PORT, SMTP_PORT, SESSIONS, API_KEY,
// CA_FILE (then STARTTLS), DKIM_DOMAIN, DKIM_SELECTOR and DKIM_KEY (then signed).
'use strict';
const fs = require('fs');
const crypto = require('crypto');
const multipart = require('@fastify/multipart');
const fastify = require('fastify')({ logger: false, bodyLimit: 32 * 1024 * 1024 });
const nodemailer = require('nodemailer');

const ca = process.env.CA_FILE;
const transport = nodemailer.createTransport({
	pool: true,
	host: '127.0.0.1',
	port: Number(process.env.SMTP_PORT),
	maxConnections: Number(process.env.SESSIONS),
	maxMessages: Infinity,
	secure: false,
	ignoreTLS: !ca,
	requireTLS: Boolean(ca),
	tls: ca ? { ca: fs.readFileSync(ca) } : undefined,
	dkim: process.env.DKIM_KEY ? {
		domainName: process.env.DKIM_DOMAIN, keySelector: process.env.DKIM_SELECTOR,
		privateKey: fs.readFileSync(process.env.DKIM_KEY, 'utf8'),
	} : undefined,
});
const key = Buffer.from('Bearer ' + process.env.API_KEY);
const addresses = { type: 'array', maxItems: 1000, items: { type: 'string' } };
const words = { type: 'string' };
const mail = {
	type: 'object',
	required: ['from', 'to'],
	additionalProperties: false,
	properties: {
		from: words, to: addresses, cc: addresses, bcc: addresses,
		subject: words, text: words, html: words,
		attachments: {
			type: 'array',
			items: {
				type: 'object',
				properties: { filename: words, content: words, content_type: words },
			},
		},
	},
};
const answer = {
	type: 'object',
	properties: {
		message_id: words, outcome: words, code: { type: 'integer' }, text: words,
		accepted: addresses, rejected: addresses, ms: { type: 'number' },
	},
};

function allowed(request) {
	const given = Buffer.from(request.headers.authorization || '');
	return given.length === key.length && crypto.timingSafeEqual(given, key);
}

function attachment(given) {
	return {
		filename: given.filename, content: given.content, encoding: 'base64',
		contentType: given.content_type,
	};
}

async function send(message, began, reply) {
	try {
		const result = await transport.sendMail(message);
		return {
			message_id: result.messageId,
			outcome: result.rejected.length ? 'partial' : 'accepted',
			code: Number(result.response.slice(0, 3)),
			text: result.response.slice(4),
			accepted: result.accepted,
			rejected: result.rejected,
			ms: Number(process.hrtime.bigint() - began) / 1e6,
		};
	} catch (error) {
		return reply.code(502).send({ outcome: 'failed', code: error.responseCode, text: error.message });
	}
}

// Fields as they come, files as buffers: what the plugin's own page shows.
async function read(request) {
	const message = { to: [], attachments: [] };
	for await (const part of request.parts()) {
		if (part.type === 'file')
			message.attachments.push({
				filename: part.filename, content: await part.toBuffer(), contentType: part.mimetype,
			});
		else if (part.fieldname === 'to')
			message.to.push(part.value);
		else
			message[part.fieldname] = part.value;
	}
	return message;
}

fastify.register(multipart, { limits: { fileSize: 32 * 1024 * 1024 } });
fastify.post('/send', { schema: { body: mail, response: { 200: answer } } }, async (request, reply) => {
	const began = process.hrtime.bigint();
	if (!allowed(request))
		return reply.code(401).send({ outcome: 'unauthorized' });
	const message = { ...request.body };
	if (message.attachments)
		message.attachments = message.attachments.map(attachment);
	return send(message, began, reply);
});
fastify.post('/send/form', { schema: { response: { 200: answer } } }, async (request, reply) => {
	const began = process.hrtime.bigint();
	if (!allowed(request))
		return reply.code(401).send({ outcome: 'unauthorized' });
	return send(await read(request), began, reply);
});
fastify.get('/readyz', async () => ({ ready: true }));
fastify.listen({ host: '127.0.0.1', port: Number(process.env.PEER_PORT) });
