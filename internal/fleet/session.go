package fleet

import "time"

// AdminSession is one login of a browser. Who has its cookie has a signature, too; the id alone opens nothing.
type AdminSession struct {
	ID        string
	CreatedAt time.Time
	UsedAt    time.Time // to about a minute
	ExpiresAt time.Time // however much it is used
	ClientIP  string    // that logged in
	UserAgent string    // of the login, at most 256 bytes
}
