package fakeprovider

// Compress and Decode let tests use the package's codecs from outside.
var (
	Compress = compress
	Decode   = decode
	Glob     = glob
)

// ParseSize is parseSize for tests.
func ParseSize(text string) (int, error) { return parseSize(text) }
