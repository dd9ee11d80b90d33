// Package host finds the resources of a session on its host, which it may share with
// other sessions: addresses, ports, an X display.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Addresses are the address that a session listens on, and the one for its players.
type Addresses struct {
	Private, Public netip.Addr
	InstanceType    string // of the host at these; "" if it does not say
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// metadataLimit bounds all requests to the instance's metadata together.
const metadataLimit = 5 * time.Second

// Find returns the host's addresses from the instance's metadata (IMDSv2). A host without
// a public address has its private one in both fields. Without metadata, the session runs
// on a private machine and stays on loopback; a Batch host always has metadata, so there
// it is an error.
func Find(ctx context.Context, onBatchHost bool) (Addresses, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataLimit)
	defer cancel()
	attempts := 1 // elsewhere there is usually none
	if onBatchHost {
		attempts = 3
	}
	client := imds.New(imds.Options{
		Endpoint:       os.Getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT"), // the SDKs' own variable
		Retryer:        retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = attempts }),
		EnableFallback: aws.FalseTernary, // never IMDSv1
	})
	private, err := metadataAddress(ctx, client, "local-ipv4")
	switch {
	case err != nil && onBatchHost:
		return Addresses{}, fmt.Errorf("the host's metadata: %w", err)
	case err != nil:
		return Addresses{Private: loopback, Public: loopback}, nil
	}
	public, err := metadataAddress(ctx, client, "public-ipv4")
	if isNotFound(err) {
		public, err = private, nil
	}
	if err != nil {
		return Addresses{}, fmt.Errorf("the host's metadata: %w", err)
	}
	kind, _ := metadata(ctx, client, "instance-type") // no session fails for want of it
	return Addresses{private, public, kind}, nil
}

func metadataAddress(ctx context.Context, client *imds.Client, name string) (netip.Addr, error) {
	text, err := metadata(ctx, client, name)
	if err != nil {
		return netip.Addr{}, err
	}
	return netip.ParseAddr(text)
}

// metadata returns a value of the instance's metadata.
func metadata(ctx context.Context, client *imds.Client, name string) (string, error) {
	answer, err := client.GetMetadata(ctx, &imds.GetMetadataInput{Path: name})
	if err != nil {
		return "", err
	}
	defer answer.Content.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Content, 64))
	return strings.TrimSpace(string(text)), err
}

func isNotFound(err error) bool {
	var answer *smithyhttp.ResponseError
	return errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusNotFound
}
