// Package provider knows what differs between the API formats: where a credential stands, where the model, how an answer shows its
// error, how a stream begins and ends, how a gateway's own error has to look, and above all what an upstream's failure
// means. Everything here is a pure function of its arguments or works on the caller's memory: no I/O, no goroutines, no clock.
//
// # The verdict
//
// [Judge] is the only place where blame is decided. It takes the outcome of one attempt and returns a class (whose fault), an action
// (what the request does next), and a hint when the provider named a time. Two laws bind it:
//
//   - A client's mistake and an upstream's outage never change a key's state.
//   - A dead or limited key never costs the next request.
//
// Evidence is weighed in this order; the first that speaks decides:
//
//	the client left                          canceled        return
//	a transport error                        upstream        next upstream
//	5xx, 407, 408, 421, 425, 451, 498, 499   upstream        next upstream
//	404, 405, 409, 413, 422 ...              client          return (404 about access to a model: model denied, next key)
//	a page from an edge, not the API         upstream        next upstream
//	"not from your country"                  upstream        next upstream
//	no money (400, 401, 402, 403, 412, 429)  key exhausted   next key
//	wrong, revoked, suspended, leaked key    key dead        next key
//	429                                      limited         next key
//	401, 403 about content, files, scopes    client          return, or next key where another account may be allowed
//	401, 403 about account or restriction    key suspect     next key
//	400                                      client          return
//
// What can go wrong with that, and what stands against it:
//
//	danger                                        defence
//	a 400 quotes a prompt that speaks of quotas   in a 400 only codes, and phrases at the message's beginning, count
//	Google says "exceeded your current quota"     its status RESOURCE_EXHAUSTED makes it a limit, unless credits are depleted
//	  for a limit of one minute
//	an edge answers 401, 403 or 429 with a page   HTML never blames a key; an empty 403 neither
//	the client picks a foreign organisation       Outcome.ClientAccount makes the refusal the client's
//	the client calls an administrative path       its 401 reads like that of a wrong key; the path clears the key
//	one request larger than the whole allowance   a 429 or 402 that names the size is the client's, no key rests for it
//	a file that another account uploaded          403 about the thing, not the key: another key is tried, none is blamed
//	an error inside a 200                         its inner code is given the status it would have had, then judged alike
//	an unknown error inside a 200                 the provider's failure: no key is touched
//	the message quotes the key or the prompt      Evidence is redacted, and empty for the client's mistakes
//
// The corpus in testdata/verdicts.json holds one row for each known answer with its source; a wrong verdict in the field becomes a new row
// there first.
package provider
