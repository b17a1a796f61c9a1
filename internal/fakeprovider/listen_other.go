//go:build !unix

package fakeprovider

import "net"

// reservation only remembers the address here: while the listener is closed the port may go to somebody else.
type reservation struct{}

func reserve(address string) (reservation, string, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return reservation{}, "", err
	}
	defer func() { _ = listener.Close() }()
	return reservation{}, listener.Addr().String(), nil
}

func (reservation) listen(address string) (net.Listener, error) { return net.Listen("tcp", address) }

func (reservation) release() {}
