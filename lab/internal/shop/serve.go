package shop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/meshpol/meshpol/lab/internal/shop/app"
	"github.com/meshpol/meshpol/lab/internal/shop/loadgen"
	"github.com/meshpol/meshpol/lab/internal/shop/stock"
)

// Ending takes linger and three times drain at most, well below the ten seconds that the lab gives a pod.
const (
	// drain is how long the requests in flight of one port may still take.
	drain = 2 * time.Second
	// headerTimeout is how long a client may take for the head of a request.
	headerTimeout = 10 * time.Second
)

// serveOptions is what `shop serve` is told.
type serveOptions struct {
	name, pod, version string
	listen, control    string
	grpc               string
	next               string
	linger             time.Duration
}

// ServeCmd is `shop serve`, the program of every shop pod.
func ServeCmd() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the shop's sample service, and take orders on a control port",
		Example: `  shop serve --name user-service-v2
  shop serve --name stock --grpc :9000
  shop serve --name cart --listen :8080 --control :9901 --next http://user-service`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.complete(os.Getenv("POD_NAME"))
			return serve(cmd.Context(), o, cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", "", "name of the workload (required)")
	flags.StringVar(&o.listen, "listen", ":8080", "address of the service")
	flags.StringVar(&o.control, "control", ":9901", "address of the control port")
	flags.StringVar(&o.grpc, "grpc", "", "address of the gRPC service (default none)")
	flags.StringVar(&o.next, "next", "", "URL of the service to call for every request (default none)")
	flags.StringVar(&o.pod, "pod", "", "name of the pod, told to clients (default $POD_NAME, else --name)")
	flags.StringVar(&o.version, "version", "", "version told to clients (default the end of --name, such as v2, else v1)")
	flags.DurationVar(&o.linger, "linger", 2*time.Second, "how long to serve on after SIGTERM, while clients learn of it")
	// The flag was defined above.
	_ = cmd.MarkFlagRequired("name")
	return cmd
}

func (o *serveOptions) complete(podName string) {
	if o.pod == "" {
		o.pod = podName
	}
	if o.pod == "" {
		o.pod = o.name
	}
	if o.version == "" {
		o.version = versionOf(o.name)
	}
}

// versionOf is the version that a workload's name ends in.
func versionOf(name string) string {
	if found := regexp.MustCompile(`-(v[0-9]+)$`).FindStringSubmatch(name); found != nil {
		return found[1]
	}
	return "v1"
}

// serve runs until ctx is done, then lingers, lets requests end and returns.
func serve(ctx context.Context, o serveOptions, log io.Writer) error {
	service, err := listen(ctx, "service", o.listen)
	if err != nil {
		return err
	}
	defer service.Close()
	control, err := listen(ctx, "control port", o.control)
	if err != nil {
		return err
	}
	defer control.Close()
	fmt.Fprintf(log, "pod %s, version %s: service on %s, control on %s\n", o.pod, o.version, service.Addr(), control.Addr())
	var calls net.Listener
	if o.grpc != "" {
		if calls, err = listen(ctx, "gRPC service", o.grpc); err != nil {
			return err
		}
		defer calls.Close()
	}
	return serveOn(ctx, o, service, control, calls)
}

func listen(ctx context.Context, what, address string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for the %s on %s: %w; is another process there?", what, address, err)
	}
	return listener, nil
}

// serveOn serves on open listeners; that of gRPC calls may be nil.
func serveOn(ctx context.Context, o serveOptions, service, control, calls net.Listener) error {
	a, err := app.New(app.Config{Pod: o.pod, Version: o.version, Next: o.next})
	if err != nil {
		return err
	}
	defer a.Close()
	load := loadgen.New(o.pod, o.next)
	defer load.Close()
	mux := http.NewServeMux()
	a.Routes(mux)
	load.Routes(mux)
	// No idle timeout: the proxy decides how long a connection is kept, else both may close it at the same moment.
	front := &http.Server{Handler: a, ReadHeaderTimeout: headerTimeout}
	back := &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout}
	failed := make(chan error, 3)
	go func() { failed <- front.Serve(service) }()
	go func() { failed <- back.Serve(control) }()
	rpc := grpc.NewServer()
	if calls != nil {
		service := a.GRPC()
		stock.Register(rpc, service)
		go func() { failed <- rpc.Serve(service.Listen(calls)) }()
	}
	select {
	case err = <-failed:
		err = fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
		a.Stop()
		load.Close()
		time.Sleep(o.linger)
	}
	endCalls(rpc)
	return errors.Join(err, shutDown(ctx, front), shutDown(ctx, back))
}

// endCalls lets gRPC calls end for a while and then cuts them off.
func endCalls(s *grpc.Server) {
	timer := time.AfterFunc(drain, s.Stop)
	defer timer.Stop()
	s.GracefulStop()
}

// shutDown lets requests end for a while and then cuts them off; that is no error.
func shutDown(ctx context.Context, s *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := s.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return s.Close()
	}
	return err
}
