from pairsieve.pipeline.vectors.slice_records import EmbedTime, ScoreSources


def test_times_are_written_to_the_microsecond_and_read_back() -> None:
    extra = EmbedTime(1.23456789, 2.5).to_json()
    assert extra == {"model_s": 1.234568, "seconds": 2.5}
    assert EmbedTime.from_json(extra) == EmbedTime(1.234568, 2.5)


def test_a_marker_without_times_took_none() -> None:
    assert EmbedTime.from_json({}) == EmbedTime(0.0, 0.0)


def test_sources_of_scores_are_written_and_read_back() -> None:
    sources = ScoreSources({"nsfw": "the head head.pth (0123)"})
    assert sources.to_json() == {"how": {"nsfw": "the head head.pth (0123)"}}
    assert ScoreSources.from_json(sources.to_json()) == sources


def test_only_measured_columns_name_their_source() -> None:
    sources = ScoreSources({"nsfw": "the prompts of pairsieve"})
    assert sources.column_metadata("nsfw") == {"measured": "the prompts of pairsieve"}
    assert sources.column_metadata("tags") == {}
