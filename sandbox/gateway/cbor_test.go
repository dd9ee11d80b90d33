package gateway

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/aws/smithy-go/encoding/cbor"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// sendCBOR makes a call in AWS's CBOR protocol.
func sendCBOR(t *testing.T, endpoint, operation string, input cbor.Value) (status int, answer cbor.Value) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, endpoint+"/service/GraniteServiceVersion20100801/operation/"+operation, bytes.NewReader(cbor.Encode(input)))
	require.NoError(t, err)
	r.Header.Set("Smithy-Protocol", cborProtocol)
	r.Header.Set("Content-Type", "application/cbor")
	r.Header.Set("Authorization", local.Authorization(local.MotoKey, "monitoring"))
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, cborProtocol, res.Header.Get("Smithy-Protocol"))
	answer, err = cbor.Decode(body)
	require.NoError(t, err)
	return res.StatusCode, answer
}

func TestACallInCBORReachesMotoInJSONAndComesBack(t *testing.T) {
	var target string
	sent := map[string]any{}
	moto := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target = r.Header.Get("X-Amz-Target")
		_ = json.NewDecoder(r.Body).Decode(&sent)
		_, _ = io.WriteString(w, `{"Alarms":[{"Name":"a","Count":-2,"Part":0.5,"On":true,"StateUpdatedTimestamp":1795889312.086,"Left":null}],"LastModified":1,"MetricWidgetImage":"UE5H"}`)
	}))
	t.Cleanup(moto.Close)
	upstream, err := url.Parse(moto.URL)
	require.NoError(t, err)
	endpoint := serve(t, Config{Upstream: upstream, Registry: "127.0.0.1:1"})
	status, answer := sendCBOR(t, endpoint, "DescribeAlarms", cbor.Map{
		"Names": cbor.List{cbor.String("a")}, "Start": &cbor.Tag{ID: 1, Value: cbor.Float64(12.5)}, "Max": cbor.Uint(7), "On": cbor.Bool(true), "Low": cbor.NegInt(3),
	})
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "GraniteServiceVersion20100801.DescribeAlarms", target)
	require.Equal(t, map[string]any{"Names": []any{"a"}, "Start": 12.5, "Max": 7., "On": true, "Low": -3.}, sent)
	require.Equal(t, cbor.Map{
		"Alarms": cbor.List{cbor.Map{
			"Name": cbor.String("a"), "Count": cbor.NegInt(2), "Part": cbor.Float64(0.5), "On": cbor.Bool(true),
			"StateUpdatedTimestamp": &cbor.Tag{ID: 1, Value: cbor.Float64(1795889312.086)},
		}},
		"LastModified": &cbor.Tag{ID: 1, Value: cbor.Float64(1)}, "MetricWidgetImage": cbor.Slice("PNG"),
	}, answer)
}

func TestARefusalOfACallInCBORIsInCBOR(t *testing.T) {
	c := newChecked(t)
	status, answer := sendCBOR(t, c.url, "PutMetricAlarm", cbor.Map{"AlarmName": cbor.String("a"), "EvaluationPeriods": cbor.Uint(1), "ComparisonOperator": cbor.String("More")})
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, cbor.String("ValidationError"), answer.(cbor.Map)["__type"])
	require.Contains(t, string(answer.(cbor.Map)["message"].(cbor.String)), "Value 'More' at 'comparisonOperator'")
	require.Zero(t, c.reached)
}
