package upstream

// IsPrivate is checked address by address.
var IsPrivate = isPrivate
