// Package proxy is the data plane: it takes a client's request at /proxy/{group}/{path}, sends it to a provider
// with a good key of the group, and brings the answer back unchanged. It is a plain http.Handler.
//
// One request runs through auth -> group -> admission -> body -> (key -> upstream -> verdict)* -> relay -> record. Each
// is a function of that name on exchange, the state of one request. Nothing on this way does I/O of its own,
// takes a lock shared by all requests, or grows with the number of keys.
//
// An attempt sends one request to one upstream address with one key and closes what it opened. Its outcome is
// judged by provider.Judge, and the verdict says who is blamed and what is next:
//
//	what happened                          key            address or member   this request
//	answer, or the client's own mistake    -              well                relayed, no further attempt
//	key dead, exhausted, suspect           as keypool     well                another key
//	limited                                cools          well                another key
//	upstream answered 5xx, or in a 200     -              fault               another address, member or key
//	refused, reset, EOF, TLS, DNS          -              fault               another address, member or key
//	silent until a timeout                 -              fault               never the same address again
//	silent until first_token_timeout       -              fault               another key or address first
//	client went away                       -              -                   upstream cancelled, recorded as 499
//	cut or stalled after the first byte    -              fault               error event, aborted transfer
//
// Nothing is tried again after the first byte of an answer went out, when the body was too large to keep, or past
// max_retries. When no attempt is left the client gets the provider's own answer where it speaks about the request
// or the provider (5xx, 429), and an error of the gateway where it speaks about an operator's key (401, 402, 403):
// such answers quote parts of the key and would make the client doubt its own.
//
// What differs between what a client sends and what the upstream gets: hop-by-hop headers, Expect, the credentials, forwarding
// headers (Forwarded, Via, X-Forwarded-*, X-Real-Ip), the console's session cookie, Host, chunked bodies that fit the
// replay buffer go out with Content-Length, and what the operator configured. What differs on the way back:
// hop-by-hop headers.
package proxy
