module example.com/media/transcoder

go 1.23
