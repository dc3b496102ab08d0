package http

import (
	"net/http"

	"github.com/apache/skywalking-go/plugins/core/operator"
	"github.com/apache/skywalking-go/plugins/core/tracing"
)

// AskedInterceptor makes an exit span of a request made; 5005 is GoHttpClient.
type AskedInterceptor struct{}

// BeforeInvoke is called before Transport.RoundTrip.
func (i *AskedInterceptor) BeforeInvoke(invocation operator.Invocation) error {
	request := invocation.Args()[0].(*http.Request)
	span, err := tracing.CreateExitSpan(request.Method+":"+request.URL.Path, request.Host, func(key, value string) error {
		request.Header.Set(key, value)
		return nil
	},
		tracing.WithLayer(tracing.SpanLayerHTTP),
		tracing.WithTag(tracing.TagHTTPMethod, request.Method),
		tracing.WithTag(tracing.TagURL, request.Host+request.URL.Path),
		tracing.WithComponent(5005))
	if err != nil {
		return err
	}
	invocation.SetContext(span)
	return nil
}

// AfterInvoke is called after it, with (*Response, error).
func (i *AskedInterceptor) AfterInvoke(invocation operator.Invocation, result ...interface{}) error {
	if invocation.GetContext() == nil {
		return nil
	}
	span := invocation.GetContext().(tracing.Span)
	if err, failed := result[1].(error); failed && err != nil {
		span.Error(err.Error())
	}
	span.End()
	return nil
}
