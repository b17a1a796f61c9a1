package upstream

// maxAvoided is above the 21 attempts that the largest max_retries (20) allows.
const maxAvoided = 24

// Avoid is what one request learned of addresses, over all groups it went through. The zero value is ready and
// a nil *Avoid is empty; it is not safe for concurrent use.
type Avoid struct {
	addresses [maxAvoided]*Address
	silent    [maxAvoided]bool
	n         int
}

// Failed makes the request ask other addresses first.
func (v *Avoid) Failed(a *Address) { v.add(a, false) }

// Silent makes the request never ask this address again: it stayed silent until a timeout, and asking it again
// would cost another.
func (v *Avoid) Silent(a *Address) { v.add(a, true) }

func (v *Avoid) add(a *Address, silent bool) {
	if i := v.find(a); i >= 0 {
		v.silent[i] = v.silent[i] || silent
		return
	}
	if v.n < maxAvoided {
		v.addresses[v.n], v.silent[v.n] = a, silent
		v.n++
	}
}

func (v *Avoid) len() int {
	if v == nil {
		return 0
	}
	return v.n
}

func (v *Avoid) find(a *Address) int {
	for i := range v.len() {
		if v.addresses[i] == a {
			return i
		}
	}
	return -1
}

func (v *Avoid) has(a *Address) bool { return v.find(a) >= 0 }

// allows reports whether the address may be asked at all.
func (v *Avoid) allows(a *Address) bool {
	i := v.find(a)
	return i < 0 || !v.silent[i]
}
