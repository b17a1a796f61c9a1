// Package keyfile reads and writes files of provider keys. It is pure: no database, no network.
//
// # Formats
//
//	text        keys with newlines, spaces, tabs, commas or semicolons between them; see below
//	lines       one key a line, exactly as it stands but for spaces around it
//	csv         a first line with names of columns: key, and any of weight, notes, tags, state, reason, evidence, failures, cooldowns
//	json        one array of strings and objects
//	jsonl       strings and objects, one after the other
//
// Each may be compressed with gzip. What is not told is found out from the beginning of the file: gzip by its magic number, an
// array by its bracket, CSV by a first line that names a column "key"; everything else is text. Every JSON lines file is
// also a text.
//
// # Rules of a text
//
// What begins the next key decides how it ends:
//
//   - A quotation mark begins a JSON string, so a key with any character in it can be written: "my key, with \"all\"".
//   - A brace begins a JSON object, which may go over several lines: one with a member "key" is that key with what else it
//     says, one with a member "type" or "private_key", such as a Google service account, is itself the key, without the
//     spaces between its parts.
//   - A # before a space or the end of the line begins a comment, which ends with the line.
//   - Anything else ends at the next separator.
//
// Keys that hold separators and are not quoted need the format lines.
//
// # Bounds
//
// A reader holds one entry at a time, of 64 KiB at most, and reads at most Options.MaxBytes after decompression. What is wrong
// with one entry is that entry's Fault, and reading goes on with the next; an error is about the file as a whole. Neither
// repeats anything of the file, because that may be a key.
//
// # Round trip
//
// What a Writer writes as CSV, JSON or JSON lines, a Reader gives back whole: state, reason, evidence, failures, weight, notes,
// tags and cool-downs included. A text holds the values only.
package keyfile
