// Package gptload1 reads a database of GPT-Load 1.x and plans what of it comes along. It only reads: the database may be in
// use meanwhile, and nothing of ours is written here. Applying a plan is its caller's.
//
// # What a 1.x database holds
//
// Four tables matter: system_settings (setting_key, setting_value), groups, group_sub_groups (members of aggregates, since
// 1.3) and api_keys. Columns came with time: key_hash with 1.1, header_rules, validation_endpoint and proxy_keys during
// 1.0, group_type with 1.3, notes, model_redirect_rules and model_redirect_strict with 1.4. What a database does not have
// yet counts as empty; what every 1.x has and this one lacks makes it no 1.x database.
//
// Four columns of groups hold JSON that is read leniently, element by element: upstreams, header_rules (lists), and
// param_overrides, model_redirect_rules, config (objects).
//
// Only api_keys.key_value is encrypted, when an ENCRYPTION_KEY was set: AES-256-GCM, in hexadecimal digits, the nonce of 12
// bytes first, the key by PBKDF2-HMAC-SHA256 with 100,000 rounds over a salt that is the same everywhere. key_hash is the
// HMAC-SHA256 of the clear key under the derived key, and the plain SHA-256 without one: this is how a row in clear is told
// from an encrypted one. 1.x serves both kinds side by side, so both are read.
//
// # The plan
//
// [Database.Plan] reads everything once, page by page, keys included: they are counted and opened, not kept. So a wrong, missing or
// superfluous encryption key is an error before anything is done, and the counts that an operator agrees to are exact. What does
// not come along as it stands is in Plan.Notices, by group and column, with what is done instead. The judge is the admin API's
// own: fleet.ValidateGroup and the settings table.
//
// Applying is idempotent because identities are stable: a group is its name (names that are not allowed here are
// changed in the same way each time), a key is its value within its group. Plan.Groups stands in the order of
// creation: standard groups before the aggregates that name them.
//
// # What goes wrong
//
//	fault                                     | what happens
//	------------------------------------------|---------------------------------------------------------
//	a DSN of no known form                    | Open refuses, with the forms; it never quotes the DSN
//	not a 1.x database, or one of this version| Open refuses and says what is missing
//	an older 1.x                              | columns that came later count as empty
//	migrate-keys of 1.x running or broken off | Open refuses: the table temp_migration stands there
//	1.x writes at the same time               | pages are short reads; SQLite waits busyTimeout for a writer
//	1.x was killed while it wrote to SQLite   | Open or the first page refuses: only 1.x may repair its file
//	wrong, missing or superfluous passphrase  | Plan refuses and says which of the three
//	single keys that do not open, or no key   | left out, counted in the plan with their row ids
//	broken JSON in a column                   | that column is left out; a group without an address is, too
//	an unknown channel                        | the group is left out, with the count of its keys
//	a server that does not answer             | CodeUnavailable within statementTimeout
package gptload1
