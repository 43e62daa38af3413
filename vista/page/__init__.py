"""The web page of the verb `demo`: people ask one model about their pictures, and see its answers drawn.

pictures.py  question.py    what comes from the browser: files, words, regions drawn by hand, earlier turns
answerer.py                 all questions at once, on one model
shapes.py    coco.py        what goes back: numbers of a text as shapes, or as COCO JSON
page.py      server.py      all of it together, and the server; only the last imports gradio
static/                     HTML, CSS and JavaScript, which load nothing from anywhere else
"""
