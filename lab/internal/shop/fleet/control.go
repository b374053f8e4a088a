package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
)

// ControlPort is where every shop pod takes orders. It is kept out of the sidecar, so no policy can touch it.
const ControlPort = 9901

// callTimeout bounds one call; handing over 128 MiB of records takes a few seconds.
const callTimeout = 2 * time.Minute

// Dialer connects to an address inside the lab.
type Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// Control speaks to the control ports of pods.
type Control struct {
	client *http.Client
}

// NewControl returns a Control that connects with dial.
func NewControl(dial Dialer) *Control {
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	return &Control{client: &http.Client{Transport: transport, Timeout: callTimeout}}
}

// Call sends a value as JSON and reads the answer into another; either may be nil.
func (c *Control) Call(ctx context.Context, pod Pod, method, path string, body, into any) error {
	resp, err := c.do(ctx, pod, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("reading the answer of pod %s to %s %s: %w", pod.Name, method, path, err)
	}
	return nil
}

// Records reads what a client pod saw in its last run, from a record number on.
func (c *Control) Records(ctx context.Context, pod Pod, since uint64) (referee.Batch, error) {
	path := "/load/records?since=" + strconv.FormatUint(since, 10)
	resp, err := c.do(ctx, pod, http.MethodGet, path, nil)
	if err != nil {
		return referee.Batch{}, err
	}
	defer resp.Body.Close()
	batch, err := referee.ReadBatch(resp.Body)
	if err != nil {
		return batch, fmt.Errorf("collecting the records of pod %s: %w", pod.Name, err)
	}
	return batch, nil
}

// do returns an answer of 2xx; the caller closes its body.
func (c *Control) do(ctx context.Context, pod Pod, method, path string, body any) (*http.Response, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("asking pod %s for %s %s: %w", pod.Name, method, path, err)
		}
	}
	address := net.JoinHostPort(pod.IP, strconv.Itoa(ControlPort))
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("asking pod %s for %s %s: %w", pod.Name, method, path, err)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking pod %s for %s %s: %w", pod.Name, method, path, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, fmt.Errorf("pod %s refused %s %s: %s", pod.Name, method, path, problemOf(resp))
}

// problemOf is what an answer says is wrong.
func problemOf(resp *http.Response) string {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	var problem jsonhttp.Problem
	if json.Unmarshal(text, &problem) == nil && problem.Error != "" {
		return problem.Error
	}
	return resp.Status + " " + string(text)
}

// Each does the same with all pods at once and returns the answers in the order of the pods, and every error.
func Each[T any](pods []Pod, do func(Pod) (T, error)) ([]T, error) {
	answers, problems := make([]T, len(pods)), make([]error, len(pods))
	var all sync.WaitGroup
	for i, pod := range pods {
		all.Go(func() { answers[i], problems[i] = do(pod) })
	}
	all.Wait()
	return answers, errors.Join(problems...)
}
