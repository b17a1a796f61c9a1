package testenv

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// portsFrom is the first port that reservePort hands out. The last one lies below the range from which Linux takes the
// source ports of outgoing connections: a server that is down for a while finds its port free again.
const portsFrom = 15000

// portReservation keeps a TCP port of 127.0.0.1 for this process, also while nothing listens on it.
type portReservation struct {
	number int
	held   net.Listener
}

// reservePort takes a free port that no other test process on this machine has reserved. The kernel ends a reservation
// with the process that holds it.
func reservePort() (*portReservation, error) {
	end := ephemeralPortsFrom()
	if end < portsFrom+1000 {
		end = 65536 // hardly anything below: better a small risk of a clash than few ports
	}
	for range 200 {
		number := portsFrom + rand.IntN(end-portsFrom)
		// A name in the abstract namespace exists once on the machine and leaves no file behind.
		held, err := net.Listen("unix", "@gpt-load-testenv-port-"+strconv.Itoa(number))
		if err != nil {
			continue
		}
		probe, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(number)))
		if err == nil {
			err = probe.Close()
		}
		if err == nil {
			return &portReservation{number: number, held: held}, nil
		}
		_ = held.Close()
	}
	return nil, errors.New("no free TCP port on 127.0.0.1 in 200 attempts")
}

func (p *portReservation) address() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.number))
}

func (p *portReservation) release() { _ = p.held.Close() }

// ephemeralPortsFrom is the lower bound of the kernel's range of source ports.
func ephemeralPortsFrom() int {
	var from int
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		_, err = fmt.Sscan(string(text), &from)
	}
	if err != nil {
		return 32768 // what the kernel has unless told otherwise
	}
	return from
}
