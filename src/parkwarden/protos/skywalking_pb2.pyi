from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SpanType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    Entry: _ClassVar[SpanType]
    Exit: _ClassVar[SpanType]
    Local: _ClassVar[SpanType]

class RefType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CrossProcess: _ClassVar[RefType]
    CrossThread: _ClassVar[RefType]

class SpanLayer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    Unknown: _ClassVar[SpanLayer]
    Database: _ClassVar[SpanLayer]
    RPCFramework: _ClassVar[SpanLayer]
    Http: _ClassVar[SpanLayer]
    MQ: _ClassVar[SpanLayer]
    Cache: _ClassVar[SpanLayer]
    FAAS: _ClassVar[SpanLayer]

class PprofProfilingStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PPROF_PROFILING_SUCCESS: _ClassVar[PprofProfilingStatus]
    PPROF_EXECUTION_TASK_ERROR: _ClassVar[PprofProfilingStatus]
    PPROF_TERMINATED_BY_OVERSIZE: _ClassVar[PprofProfilingStatus]
Entry: SpanType
Exit: SpanType
Local: SpanType
CrossProcess: RefType
CrossThread: RefType
Unknown: SpanLayer
Database: SpanLayer
RPCFramework: SpanLayer
Http: SpanLayer
MQ: SpanLayer
Cache: SpanLayer
FAAS: SpanLayer
PPROF_PROFILING_SUCCESS: PprofProfilingStatus
PPROF_EXECUTION_TASK_ERROR: PprofProfilingStatus
PPROF_TERMINATED_BY_OVERSIZE: PprofProfilingStatus

class KeyStringValuePair(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class KeyIntValuePair(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: int
    def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("command", "args")
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    command: str
    args: _containers.RepeatedCompositeFieldContainer[KeyStringValuePair]
    def __init__(self, command: _Optional[str] = ..., args: _Optional[_Iterable[_Union[KeyStringValuePair, _Mapping]]] = ...) -> None: ...

class Commands(_message.Message):
    __slots__ = ("commands",)
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    commands: _containers.RepeatedCompositeFieldContainer[Command]
    def __init__(self, commands: _Optional[_Iterable[_Union[Command, _Mapping]]] = ...) -> None: ...

class SegmentReference(_message.Message):
    __slots__ = ("refType", "traceId", "parentTraceSegmentId", "parentSpanId", "parentService", "parentServiceInstance", "parentEndpoint", "networkAddressUsedAtPeer")
    REFTYPE_FIELD_NUMBER: _ClassVar[int]
    TRACEID_FIELD_NUMBER: _ClassVar[int]
    PARENTTRACESEGMENTID_FIELD_NUMBER: _ClassVar[int]
    PARENTSPANID_FIELD_NUMBER: _ClassVar[int]
    PARENTSERVICE_FIELD_NUMBER: _ClassVar[int]
    PARENTSERVICEINSTANCE_FIELD_NUMBER: _ClassVar[int]
    PARENTENDPOINT_FIELD_NUMBER: _ClassVar[int]
    NETWORKADDRESSUSEDATPEER_FIELD_NUMBER: _ClassVar[int]
    refType: RefType
    traceId: str
    parentTraceSegmentId: str
    parentSpanId: int
    parentService: str
    parentServiceInstance: str
    parentEndpoint: str
    networkAddressUsedAtPeer: str
    def __init__(self, refType: _Optional[_Union[RefType, str]] = ..., traceId: _Optional[str] = ..., parentTraceSegmentId: _Optional[str] = ..., parentSpanId: _Optional[int] = ..., parentService: _Optional[str] = ..., parentServiceInstance: _Optional[str] = ..., parentEndpoint: _Optional[str] = ..., networkAddressUsedAtPeer: _Optional[str] = ...) -> None: ...

class Log(_message.Message):
    __slots__ = ("time", "data")
    TIME_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    time: int
    data: _containers.RepeatedCompositeFieldContainer[KeyStringValuePair]
    def __init__(self, time: _Optional[int] = ..., data: _Optional[_Iterable[_Union[KeyStringValuePair, _Mapping]]] = ...) -> None: ...

class SpanObject(_message.Message):
    __slots__ = ("spanId", "parentSpanId", "startTime", "endTime", "refs", "operationName", "peer", "spanType", "spanLayer", "componentId", "isError", "tags", "logs", "skipAnalysis")
    SPANID_FIELD_NUMBER: _ClassVar[int]
    PARENTSPANID_FIELD_NUMBER: _ClassVar[int]
    STARTTIME_FIELD_NUMBER: _ClassVar[int]
    ENDTIME_FIELD_NUMBER: _ClassVar[int]
    REFS_FIELD_NUMBER: _ClassVar[int]
    OPERATIONNAME_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    SPANTYPE_FIELD_NUMBER: _ClassVar[int]
    SPANLAYER_FIELD_NUMBER: _ClassVar[int]
    COMPONENTID_FIELD_NUMBER: _ClassVar[int]
    ISERROR_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    SKIPANALYSIS_FIELD_NUMBER: _ClassVar[int]
    spanId: int
    parentSpanId: int
    startTime: int
    endTime: int
    refs: _containers.RepeatedCompositeFieldContainer[SegmentReference]
    operationName: str
    peer: str
    spanType: SpanType
    spanLayer: SpanLayer
    componentId: int
    isError: bool
    tags: _containers.RepeatedCompositeFieldContainer[KeyStringValuePair]
    logs: _containers.RepeatedCompositeFieldContainer[Log]
    skipAnalysis: bool
    def __init__(self, spanId: _Optional[int] = ..., parentSpanId: _Optional[int] = ..., startTime: _Optional[int] = ..., endTime: _Optional[int] = ..., refs: _Optional[_Iterable[_Union[SegmentReference, _Mapping]]] = ..., operationName: _Optional[str] = ..., peer: _Optional[str] = ..., spanType: _Optional[_Union[SpanType, str]] = ..., spanLayer: _Optional[_Union[SpanLayer, str]] = ..., componentId: _Optional[int] = ..., isError: _Optional[bool] = ..., tags: _Optional[_Iterable[_Union[KeyStringValuePair, _Mapping]]] = ..., logs: _Optional[_Iterable[_Union[Log, _Mapping]]] = ..., skipAnalysis: _Optional[bool] = ...) -> None: ...

class SegmentObject(_message.Message):
    __slots__ = ("traceId", "traceSegmentId", "spans", "service", "serviceInstance", "isSizeLimited")
    TRACEID_FIELD_NUMBER: _ClassVar[int]
    TRACESEGMENTID_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    SERVICEINSTANCE_FIELD_NUMBER: _ClassVar[int]
    ISSIZELIMITED_FIELD_NUMBER: _ClassVar[int]
    traceId: str
    traceSegmentId: str
    spans: _containers.RepeatedCompositeFieldContainer[SpanObject]
    service: str
    serviceInstance: str
    isSizeLimited: bool
    def __init__(self, traceId: _Optional[str] = ..., traceSegmentId: _Optional[str] = ..., spans: _Optional[_Iterable[_Union[SpanObject, _Mapping]]] = ..., service: _Optional[str] = ..., serviceInstance: _Optional[str] = ..., isSizeLimited: _Optional[bool] = ...) -> None: ...

class SegmentCollection(_message.Message):
    __slots__ = ("segments",)
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    segments: _containers.RepeatedCompositeFieldContainer[SegmentObject]
    def __init__(self, segments: _Optional[_Iterable[_Union[SegmentObject, _Mapping]]] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class MeterSingleValue(_message.Message):
    __slots__ = ("name", "labels", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    value: float
    def __init__(self, name: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ..., value: _Optional[float] = ...) -> None: ...

class MeterBucketValue(_message.Message):
    __slots__ = ("bucket", "count", "isNegativeInfinity")
    BUCKET_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ISNEGATIVEINFINITY_FIELD_NUMBER: _ClassVar[int]
    bucket: float
    count: int
    isNegativeInfinity: bool
    def __init__(self, bucket: _Optional[float] = ..., count: _Optional[int] = ..., isNegativeInfinity: _Optional[bool] = ...) -> None: ...

class MeterHistogram(_message.Message):
    __slots__ = ("name", "labels", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    values: _containers.RepeatedCompositeFieldContainer[MeterBucketValue]
    def __init__(self, name: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ..., values: _Optional[_Iterable[_Union[MeterBucketValue, _Mapping]]] = ...) -> None: ...

class MeterData(_message.Message):
    __slots__ = ("singleValue", "histogram", "service", "serviceInstance", "timestamp")
    SINGLEVALUE_FIELD_NUMBER: _ClassVar[int]
    HISTOGRAM_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    SERVICEINSTANCE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    singleValue: MeterSingleValue
    histogram: MeterHistogram
    service: str
    serviceInstance: str
    timestamp: int
    def __init__(self, singleValue: _Optional[_Union[MeterSingleValue, _Mapping]] = ..., histogram: _Optional[_Union[MeterHistogram, _Mapping]] = ..., service: _Optional[str] = ..., serviceInstance: _Optional[str] = ..., timestamp: _Optional[int] = ...) -> None: ...

class MeterDataCollection(_message.Message):
    __slots__ = ("meterData",)
    METERDATA_FIELD_NUMBER: _ClassVar[int]
    meterData: _containers.RepeatedCompositeFieldContainer[MeterData]
    def __init__(self, meterData: _Optional[_Iterable[_Union[MeterData, _Mapping]]] = ...) -> None: ...

class ConfigurationSyncRequest(_message.Message):
    __slots__ = ("service", "uuid")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    service: str
    uuid: str
    def __init__(self, service: _Optional[str] = ..., uuid: _Optional[str] = ...) -> None: ...

class InstanceProperties(_message.Message):
    __slots__ = ("service", "serviceInstance", "properties", "layer")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    SERVICEINSTANCE_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    service: str
    serviceInstance: str
    properties: _containers.RepeatedCompositeFieldContainer[KeyStringValuePair]
    layer: str
    def __init__(self, service: _Optional[str] = ..., serviceInstance: _Optional[str] = ..., properties: _Optional[_Iterable[_Union[KeyStringValuePair, _Mapping]]] = ..., layer: _Optional[str] = ...) -> None: ...

class InstancePingPkg(_message.Message):
    __slots__ = ("service", "serviceInstance", "layer")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    SERVICEINSTANCE_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    service: str
    serviceInstance: str
    layer: str
    def __init__(self, service: _Optional[str] = ..., serviceInstance: _Optional[str] = ..., layer: _Optional[str] = ...) -> None: ...

class TextLog(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class JSONLog(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class YAMLLog(_message.Message):
    __slots__ = ("yaml",)
    YAML_FIELD_NUMBER: _ClassVar[int]
    yaml: str
    def __init__(self, yaml: _Optional[str] = ...) -> None: ...

class LogDataBody(_message.Message):
    __slots__ = ("type", "text", "json", "yaml")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    YAML_FIELD_NUMBER: _ClassVar[int]
    type: str
    text: TextLog
    json: JSONLog
    yaml: YAMLLog
    def __init__(self, type: _Optional[str] = ..., text: _Optional[_Union[TextLog, _Mapping]] = ..., json: _Optional[_Union[JSONLog, _Mapping]] = ..., yaml: _Optional[_Union[YAMLLog, _Mapping]] = ...) -> None: ...

class TraceContext(_message.Message):
    __slots__ = ("traceId", "traceSegmentId", "spanId")
    TRACEID_FIELD_NUMBER: _ClassVar[int]
    TRACESEGMENTID_FIELD_NUMBER: _ClassVar[int]
    SPANID_FIELD_NUMBER: _ClassVar[int]
    traceId: str
    traceSegmentId: str
    spanId: int
    def __init__(self, traceId: _Optional[str] = ..., traceSegmentId: _Optional[str] = ..., spanId: _Optional[int] = ...) -> None: ...

class LogTags(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedCompositeFieldContainer[KeyStringValuePair]
    def __init__(self, data: _Optional[_Iterable[_Union[KeyStringValuePair, _Mapping]]] = ...) -> None: ...

class LogData(_message.Message):
    __slots__ = ("timestamp", "service", "serviceInstance", "endpoint", "body", "traceContext", "tags", "layer")
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    SERVICEINSTANCE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    TRACECONTEXT_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    timestamp: int
    service: str
    serviceInstance: str
    endpoint: str
    body: LogDataBody
    traceContext: TraceContext
    tags: LogTags
    layer: str
    def __init__(self, timestamp: _Optional[int] = ..., service: _Optional[str] = ..., serviceInstance: _Optional[str] = ..., endpoint: _Optional[str] = ..., body: _Optional[_Union[LogDataBody, _Mapping]] = ..., traceContext: _Optional[_Union[TraceContext, _Mapping]] = ..., tags: _Optional[_Union[LogTags, _Mapping]] = ..., layer: _Optional[str] = ...) -> None: ...

class ProfileTaskCommandQuery(_message.Message):
    __slots__ = ("service", "serviceInstance", "lastCommandTime")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    SERVICEINSTANCE_FIELD_NUMBER: _ClassVar[int]
    LASTCOMMANDTIME_FIELD_NUMBER: _ClassVar[int]
    service: str
    serviceInstance: str
    lastCommandTime: int
    def __init__(self, service: _Optional[str] = ..., serviceInstance: _Optional[str] = ..., lastCommandTime: _Optional[int] = ...) -> None: ...

class GoProfileData(_message.Message):
    __slots__ = ("taskId", "payload", "isLast")
    TASKID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ISLAST_FIELD_NUMBER: _ClassVar[int]
    taskId: str
    payload: bytes
    isLast: bool
    def __init__(self, taskId: _Optional[str] = ..., payload: _Optional[bytes] = ..., isLast: _Optional[bool] = ...) -> None: ...

class ProfileTaskFinishReport(_message.Message):
    __slots__ = ("service", "serviceInstance", "taskId")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    SERVICEINSTANCE_FIELD_NUMBER: _ClassVar[int]
    TASKID_FIELD_NUMBER: _ClassVar[int]
    service: str
    serviceInstance: str
    taskId: str
    def __init__(self, service: _Optional[str] = ..., serviceInstance: _Optional[str] = ..., taskId: _Optional[str] = ...) -> None: ...

class PprofMetaData(_message.Message):
    __slots__ = ("service", "serviceInstance", "taskId", "type", "contentSize")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    SERVICEINSTANCE_FIELD_NUMBER: _ClassVar[int]
    TASKID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CONTENTSIZE_FIELD_NUMBER: _ClassVar[int]
    service: str
    serviceInstance: str
    taskId: str
    type: PprofProfilingStatus
    contentSize: int
    def __init__(self, service: _Optional[str] = ..., serviceInstance: _Optional[str] = ..., taskId: _Optional[str] = ..., type: _Optional[_Union[PprofProfilingStatus, str]] = ..., contentSize: _Optional[int] = ...) -> None: ...

class PprofData(_message.Message):
    __slots__ = ("metadata", "errorMessage", "content")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ERRORMESSAGE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    metadata: PprofMetaData
    errorMessage: str
    content: bytes
    def __init__(self, metadata: _Optional[_Union[PprofMetaData, _Mapping]] = ..., errorMessage: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...

class PprofCollectionResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: PprofProfilingStatus
    def __init__(self, status: _Optional[_Union[PprofProfilingStatus, str]] = ...) -> None: ...

class PprofTaskCommandQuery(_message.Message):
    __slots__ = ("service", "serviceInstance", "lastCommandTime")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    SERVICEINSTANCE_FIELD_NUMBER: _ClassVar[int]
    LASTCOMMANDTIME_FIELD_NUMBER: _ClassVar[int]
    service: str
    serviceInstance: str
    lastCommandTime: int
    def __init__(self, service: _Optional[str] = ..., serviceInstance: _Optional[str] = ..., lastCommandTime: _Optional[int] = ...) -> None: ...
