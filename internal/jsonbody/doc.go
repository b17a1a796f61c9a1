// Package jsonbody finds and changes members of JSON request and answer bodies without building a tree of them.
//
// Two depths of reading serve two needs. Scan, Value and the splices behind them walk over strings with
// bytes.IndexByte and count brackets; they see what a full parser sees in every valid body and find most, not all,
// faults of an invalid one. Valid reads every byte by the grammar. A request that passes unchanged needs only the
// first; whoever edits a body, or refuses one for what it holds, asks Valid too.
//
// "What a full parser sees" is what encoding/json decodes into map[string]any: names are compared after their
// escapes are decoded and with regard to case, the last of several members of one name counts, invalid UTF-8 and
// lone surrogates become U+FFFD, and nesting beyond 10,000 levels is an error. Providers' parsers agree on the
// first two, which matter: a list of allowed models must not be passed by writing the member twice, or as
// "mod\u0065l". Differential fuzz tests hold the package to it.
//
// Nothing here recurses into a body, so its depth costs no stack.
package jsonbody
