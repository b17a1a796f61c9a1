package keypool

import (
	"math/rand/v2"
	"testing"
)

func TestBitmapFindsTheNextMember(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 63, 64, 65, 4096, 4097, 300_000} {
		rng := rand.New(rand.NewPCG(uint64(size), 1))
		b := newBitmap(size)
		members := make([]bool, b.size())
		for range 2000 {
			i := rng.IntN(len(members))
			members[i] = rng.IntN(3) > 0
			b.put(uint32(i), members[i])
			if i%100 == 0 {
				b = b.copyTo(b.size())
			}
			if b.has(uint32(i)) != members[i] {
				t.Fatalf("size %d: has(%d) = %v", size, i, !members[i])
			}
			from := rng.IntN(len(members) + 100)
			want := from
			for want < len(members) && !members[want] {
				want++
			}
			got, ok := b.next(uint32(from))
			if ok != (want < len(members)) || ok && int(got) != want {
				t.Fatalf("size %d: next(%d) = %d %v, want %d", size, from, got, ok, want)
			}
		}
	}
}

func TestBitmapKeepsItsMembersWhenItGrows(t *testing.T) {
	t.Parallel()
	b := newBitmap(64)
	b.add(5)
	b.add(63)
	b = b.copyTo(10_000)
	b.add(9_999)
	var got []uint32
	for i, ok := b.next(0); ok; i, ok = b.next(i + 1) {
		got = append(got, i)
	}
	if len(got) != 3 || got[0] != 5 || got[1] != 63 || got[2] != 9_999 {
		t.Errorf("members %v", got)
	}
}
