// Package keypool chooses provider keys and keeps their state: one Pool for each standard group, alive for as
// long as the group, however often the configuration changes.
//
// # What a choice costs
//
// People keep pools of ten keys and of a million, and a request must not notice the difference, nor that most of
// the keys rest. So a choice neither walks over keys nor waits for a lock:
//
//   - Each key has a slot, a small number. A bitmap with one bit a slot says which keys can be used now; over it
//     lie bitmaps with one bit a word, so the next usable slot from any place is found in a few steps.
//   - A cursor holds the slot whose turn is next. A choice finds the next usable slot and moves the cursor behind
//     it with one compare-and-swap; whoever loses that race looks again. So the turns of all requests form one
//     round after the other, and the counts of the keys differ by one at most, whatever runs at the same time.
//   - Rests are per key and model. A model for which any key rests gets a lane: bitmap and cursor of its own. All
//     other models share the base lane. A lane's bitmap is dropped when its last rest ends; its cursor stays,
//     since a model that is limited now and then would otherwise begin again and again with the same keys.
//   - No goroutine waits for rests to end. Each lane has a heap of them, and a choice that sees that something is
//     due clears a few away, if nobody else is at it. Only a choice that finds nothing waits for the lock, to
//     make sure that nothing is left to clear.
//
// Everything that changes a pool (verdicts that blame a key, operators, stores) takes the pool's lock, for
// microseconds; bulk changes let go of it after every few hundred keys.
//
// # What a verdict does
//
//	class           effect on the key                                                   told to the store; to other nodes
//	key_dead        invalid at once                                                     always
//	key_exhausted   rests for all models for CooldownCap, and one failure is counted    always
//	key_suspect     one failure is counted                                              when that makes it invalid
//	limited, hint   rests for the model, or for all, until then; CooldownCap at most    from 30 seconds on; from 1 on
//	limited         rests RateLimitCooldown, or longer in a row of windows              from 30 seconds on; from 1 on
//	model_denied    rests for the model for CooldownCap, if another key served it       always
//	any other       none                                                                never
//
// BlacklistThreshold failures in a row make a key invalid, 0 never; a success starts the count over.
//
// A verdict is evidence of the moment at which the key was chosen. When a thousand requests are under way and the
// provider starts to refuse the key, a thousand verdicts tell of one event: attempts that were chosen before the
// last counted failure are not counted again, and a 429 that comes while the key rests already changes nothing.
//
// A 429 that names no time leaves us guessing. A guess is doubled when the key served nothing since the last
// guessed rest, so that one was too short; it stays when the key served for less than RateLimitCooldown, so
// the rest was about right; and it starts over when the key served for longer, or when ten minutes (or the last
// rest, if that was longer) went by.
//
// A rest is never shortened by later news. Only a restoration ends it: Restore, or a change to active that lists
// no cool-downs.
//
// # What can go wrong
//
//	trouble                                      what happens
//	the store is slow, away or refuses           Writer holds the newest change of each key and tries again; choosing
//	                                             and judging go on from memory
//	the process is killed                        changes of the last 200 ms are lost: a key is judged once more
//	a reload reads what is outdated already      Replace lets everything win that happened since it began
//	a key is removed while requests use it       their verdicts find no key and are dropped, also when its slot is in
//	                                             use again
//	a client asks for thousands of model names   256 models get lanes, more share 16: then a rest may hold for a few
//	                                             models too many, never too few. Shared rests are not stored
//	clocks of requests disagree                  stamps of one key rise nevertheless, and a rest ends by the clock of
//	                                             the request that looks
//	a million rests end at the same moment       each choice clears a few away, and keys are back as they are needed
//	all keys rest                                Choose says so, and Soonest when that ends
package keypool
