"""The page of `sugrm_jax.app` in gradio: widgets, and what goes from one to another.

What is shown is made in `prediction.explain`.
"""

from __future__ import annotations

import functools
import re
import socket
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

import gradio as gr
from gradio_client.utils import is_file_obj_with_meta, traverse
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sugrm_jax.errors import UserError
from sugrm_jax.prediction import clips
from sugrm_jax.prediction.explain import LONGEST, WORDS, Explainer
from sugrm_jax.results import cards

# Bytes of a file, and of any other request; a file's has words around it.
UPLOAD, REQUEST = 50 * 2**20, 2**20
# Paths where gradio fetches what a client names, or decodes it in this process.
CLOSED = re.compile(r'/(file[=/]https?:|proxy=|process_recording)', re.IGNORECASE)
SUBTITLES = ['.srt', '.vtt']
# White words on the button are read easily, which on the theme's own they are not.
LOOK = {'block_border_width': '1px', 'input_border_width': '1px'} | {
    f'button_primary_background_fill{when}{mode}': f'*primary_{tone}'
    for when, tone in (('', 700), ('_hover', 800))
    for mode in ('', '_dark')
}
SYSTEM_FONTS = ('system-ui', 'sans-serif')
# Nothing is loaded from elsewhere, whatever a component would like to.
POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; "
    "form-action 'self'; frame-ancestors 'self'"
)
STYLE = (
    '.gradio-container { max-width: 900px !important; margin: 0 auto !important;'
    ' --ink: var(--body-text-color);'
    ' --soft: color-mix(in srgb, var(--body-text-color) 72%, transparent);'
    ' --line: var(--border-color-primary); --card: var(--block-background-fill); }'
    '#shown, #shown > * { padding: 0 !important; }'
    f'{cards.STYLE}'
)


class Page(gr.Blocks):
    """Blocks that take files which were uploaded, and fetch none by its address."""

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], *others: Any, **named: Any
    ) -> list[Any]:
        # Any component would fetch what its input names, not only those for files.
        traverse(inputs, _check_uploaded, is_file_obj_with_meta)
        try:
            return await super().preprocess_data(block_fn, inputs, *others, **named)
        except gr.Error as error:
            # The sender's mistake, such as a file of another type: the page shows it.
            error.print_exception = False
            raise


def _check_uploaded(file: dict[str, Any]) -> None:
    if '://' in file['path']:
        raise gr.Error(
            'Upload the file: none is fetched by its address.', print_exception=False
        )


def build(explainer: Explainer) -> gr.Blocks:
    """The page of one run; one prediction is made at a time.

    Its endpoints are `predict_example(row)`, where there are examples, and
    `predict_clip(clip, text, subtitles)`. Both give HTML and the rows of
    `output.rows`.
    """
    name = explainer.predictor.run.resolve().name
    with Page(title=f'{name}: sentiment', analytics_enabled=False) as page:
        gr.Markdown(
            '# What does it feel like?\nSentiment of a short opinion video, from its '
            f'text, audio and vision, as the run `{name}` predicts it.'
        )
        with gr.Tabs():
            starts = [*_example_tab(explainer), *_clip_tab(explainer)]
        shown = gr.HTML(apply_default_css=False, elem_id='shown')
        with gr.Accordion('The same as numbers', open=False):
            numbers = gr.JSON(show_label=False)
        for button, function, inputs, endpoint in starts:
            button.click(
                telling(function),
                inputs,
                [shown, numbers],
                api_name=endpoint,
                concurrency_limit=1,
                concurrency_id='model',
                scroll_to_output=True,
                show_progress_on=shown,
            )
    # Not open: whoever posts to an endpoint directly would pass by the queue.
    return page.queue(max_size=8, api_open=False)


Start = tuple[gr.Button, Callable, list[Any], str]


def _example_tab(explainer: Explainer) -> Iterator[Start]:
    if explainer.examples is None:
        return
    split = explainer.examples.split
    names = zip(split.ids, split.raw_text, strict=True)
    choices = [(f'{text[:90]}  ({id})', i) for i, (id, text) in enumerate(names)]
    with gr.Tab('An example'):
        row = gr.Dropdown(choices, value=0, label='Utterance of the data file')
        button = gr.Button('Predict', variant='primary')
    yield button, explainer.example, [row], 'predict_example'


def _clip_tab(explainer: Explainer) -> Iterator[Start]:
    with gr.Tab('Your clip'):
        size, minutes = UPLOAD // 2**20, LONGEST // 60
        gr.Markdown(
            f'A video or a recording of at most {size} MB and {minutes} minutes, with '
            'its words: typed, for one utterance, or as subtitles, one utterance each.'
        )
        clip = gr.File(label='Clip', file_types=list(clips.ENDINGS), height=140)
        with gr.Row():
            text = gr.Textbox(label='What is said in it', lines=4, max_length=WORDS)
            subtitles = gr.File(
                label='or its subtitles', file_types=SUBTITLES, height=140
            )
        button = gr.Button('Predict', variant='primary')
    yield button, explainer.clip, [clip, text, subtitles], 'predict_clip'


def telling(function: Callable) -> Callable:
    """The function, whose `UserError` is shown on the page and not in the terminal."""

    @functools.wraps(function)
    def told(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except UserError as error:
            # Gradio reads the message as HTML, and it may quote what a stranger wrote.
            raise gr.Error(
                escape(str(error)), duration=20, print_exception=False
            ) from error

    return told


class Guarded:
    """An application that fetches nothing, and takes requests of bounded size.

    Its every answer forbids the browser to load from elsewhere.

    Args:
      app: the application.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message['type'] == 'http.response.start':
                extra = (b'content-security-policy', POLICY.encode())
                message['headers'] = [*message['headers'], extra]
            await send(message)

        path = scope.get('path', '')
        if CLOSED.search(path):
            refused = PlainTextResponse('Nothing is fetched here.', 403)
            return await refused(scope, receive, guarded)
        most = REQUEST + UPLOAD * path.endswith('/upload')
        await self._app(scope, bounded(receive, most), guarded)


def bounded(receive: Receive, most: int) -> Receive:
    """Receives messages of at most `most` bytes together, else answers 413."""
    taken = 0

    async def received() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get('body', b''))
        if taken > most:
            raise HTTPException(413, f'A request may have {most} bytes.')
        return message

    return received


def _check_address(host: str, port: int) -> None:
    """Raises an `OSError` where one cannot listen; the server would say so, too."""
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    socket.create_server(address[:2], family=family).close()


def serve(page: gr.Blocks, host: str, port: int) -> str:
    """Starts the server, in threads of its own, and gives its address.

    Raises:
      UserError: it cannot listen there.
    """
    fonts = {'font': SYSTEM_FONTS, 'font_mono': ('ui-monospace', 'monospace')}
    theme = gr.themes.Soft(primary_hue='blue', **fonts).set(**LOOK)
    try:
        _check_address(host, port)
        _, address, _ = page.launch(
            server_name=f'[{host}]' if ':' in host else host,
            server_port=port,
            prevent_thread_lock=True,
            share=False,
            quiet=True,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            enable_monitoring=False,
            run_history=False,
            max_file_size=UPLOAD,
            footer_links=[],
            theme=theme,
            css=STYLE,
            app_kwargs={'middleware': [Middleware(Guarded)]},
        )
    except OSError as error:
        raise UserError(
            f'The page cannot be served on {host}, port {port}: choose another with '
            '--port, or a --host of this machine.'
        ) from error
    return address
