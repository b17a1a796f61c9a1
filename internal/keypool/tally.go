package keypool

// reasonTally counts the invalid keys of a pool by reason, as they come and go: a scrape must not walk a million keys. Reasons
// are a few stable words; should there be more than fit, the later ones have no name.
type reasonTally struct {
	reasons []string // reason i+1 is what a slot remembers as i+1; 0 is a key that is not counted
	counts  []int
}

// talliedReasons bounds the reasons that are told apart.
const talliedReasons = 100

// count brings the tally to what a slot says now. Whatever changes the state or the reason of a slot calls it.
func (t *reasonTally) count(s *slot) {
	if s.tallied > 0 {
		t.counts[s.tallied-1]--
		s.tallied = 0
	}
	if s.state != stateInvalid {
		return
	}
	reason, _ := s.why()
	s.tallied = t.place(reason)
	t.counts[s.tallied-1]++
}

func (t *reasonTally) place(reason string) uint8 {
	for i, known := range t.reasons {
		if known == reason {
			return uint8(i + 1)
		}
	}
	if len(t.reasons) == talliedReasons {
		return talliedReasons + 1
	}
	if len(t.reasons) == 0 {
		t.counts = make([]int, talliedReasons+1)
	}
	t.reasons = append(t.reasons, reason)
	return uint8(len(t.reasons))
}

// InvalidReasons counts the invalid keys by reason. Its cost does not grow with the keys.
func (p *Pool) InvalidReasons() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := make(map[string]int, len(p.tally.reasons))
	for i, reason := range p.tally.reasons {
		if n := p.tally.counts[i]; n > 0 {
			counts[reason] = n
		}
	}
	return counts
}
