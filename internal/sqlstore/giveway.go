package sqlstore

import "runtime"

// keysBetween is how many keys are sealed or opened in one go: some tenths of a millisecond.
const keysBetween = 32

// giveWay lets what is ready to run go first, once in a while, in a loop over many keys. The scheduler takes a processor away after
// 10 ms only, and so long a request would wait behind an import.
func giveWay(i int) {
	if i%keysBetween == keysBetween-1 {
		runtime.Gosched()
	}
}
