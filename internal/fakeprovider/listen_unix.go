//go:build unix

package fakeprovider

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// reservation is a bound socket that never listens. While it lives nobody else is given the port, neither as a
// listener nor as the local end of an outgoing connection, and connections to it are refused as long as no
// listener shares it.
type reservation struct{ fd int }

func reserve(address string) (reservation, string, error) {
	tcp, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return reservation{}, "", err
	}
	ip := tcp.AddrPort().Addr().Unmap()
	if !ip.IsValid() {
		ip = netip.IPv4Unspecified()
	}
	family, sockaddr := socketAddress(ip, tcp.Port)
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err != nil {
		return reservation{}, "", err
	}
	unix.CloseOnExec(fd) // SOCK_CLOEXEC would close the gap before this, but macOS has none
	r := reservation{fd}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		r.release()
		return reservation{}, "", err
	}
	if err := unix.Bind(fd, sockaddr); err != nil {
		r.release()
		return reservation{}, "", err
	}
	port, err := boundPort(fd)
	if err != nil {
		r.release()
		return reservation{}, "", err
	}
	return r, netip.AddrPortFrom(ip, port).String(), nil
}

func socketAddress(ip netip.Addr, port int) (family int, addr unix.Sockaddr) {
	if ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: ip.As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: ip.As16()}
}

func boundPort(fd int) (uint16, error) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return uint16(a.Port), nil //nolint:gosec // the kernel's own port number
	case *unix.SockaddrInet6:
		return uint16(a.Port), nil //nolint:gosec // the kernel's own port number
	}
	return 0, fmt.Errorf("a socket address of type %T", name)
}

func (r reservation) listen(address string) (net.Listener, error) {
	shared := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		if err := c.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) //nolint:gosec // a descriptor fits
		}); err != nil {
			return err
		}
		return failed
	}}
	return shared.Listen(context.Background(), "tcp", address)
}

func (r reservation) release() { _ = unix.Close(r.fd) }
