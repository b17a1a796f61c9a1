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
//	client's body broke off or stopped     -              -                   400 where nothing went out yet
//	the node stops                         -              -                   503, or error event and aborted transfer
//	cut or stalled after the first byte    -              fault               error event, aborted transfer
//
// Nothing is tried again after the first byte of an answer went out, when the body was too large to keep, or past
// max_retries. When no attempt is left the client gets the provider's own answer where it speaks about the request
// or the provider (5xx, 429), and an error of the gateway where it speaks about an operator's key (401, 402, 403):
// such answers quote the key or parts of it and would make the client doubt its own. failover_status_codes do not change that.
// An error answer of any status that repeats the whole key stays here too.
//
// What differs between what a client sends and what the upstream gets, apart from what the operator configured:
//
//   - hop-by-hop headers, those that Connection names included, are removed, and Expect is;
//   - every credential is removed, and the key that was chosen put in; Host is the upstream's;
//   - X-Gpt-Load-Explain is removed, by which a client asks for the headers that explain.go describes;
//   - with tracing on, traceparent and tracestate name the attempt's span, which follows the client's;
//   - forwarding headers (Forwarded, Via, X-Forwarded-*, X-Real-Ip) and the console's session cookie are removed;
//   - chunked bodies that fit the replay buffer go out with Content-Length and without trailers, and bodies of 0 bytes as
//     net/http frames them: Content-Length: 0 with POST, PUT and PATCH, nothing with other methods;
//   - of several User-Agent headers the first goes out, and an empty one does not;
//   - a path that begins with // goes out in absolute form, since url.URL takes it for a host.
//
// What differs on the way back:
//
//   - hop-by-hop headers are removed; framing is ours: what ends with its connection becomes chunked, a Content-Length
//     that came twice goes out once, a 304 has none, and Trailer names all trailers that are known;
//   - the answer to a chunked request ends its connection (internal/node says why);
//   - interim answers (103 Early Hints) are not passed on: the attempt that sent them may not be the one that answers;
//   - the status line says HTTP/1.1 and the usual words for its code;
//   - line folds in a value become a space, and names that are no tokens (RFC 9110 section 5.1) are left out;
//   - Pragma: no-cache gets Cache-Control: no-cache beside it, as net/http reads it;
//   - 401, 402 and 403 about an operator's key, and errors that repeat it, as told above.
//
// Names of headers have their canonical spelling and come in any order; the values of one name keep theirs.
package proxy
