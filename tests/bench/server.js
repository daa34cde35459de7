// The peer: what POST /send does, with Fastify and Nodemailer. JSON in (checked by a schema), a pool of
// kept SMTP sessions, the relay's own answer out. Schemas for the answers too, as Fastify writes those
// faster; no log. Settings: PEER_PORT, SMTP_PORT, SESSIONS, API_KEY, CA_FILE (then STARTTLS).
'use strict';
const fs = require('fs');
const crypto = require('crypto');
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

fastify.post('/send', { schema: { body: mail, response: { 200: answer } } }, async (request, reply) => {
	const began = process.hrtime.bigint();
	if (!allowed(request))
		return reply.code(401).send({ outcome: 'unauthorized' });
	const message = { ...request.body };
	if (message.attachments)
		message.attachments = message.attachments.map(attachment);
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
});
fastify.get('/readyz', async () => ({ ready: true }));
fastify.listen({ host: '127.0.0.1', port: Number(process.env.PEER_PORT) });
