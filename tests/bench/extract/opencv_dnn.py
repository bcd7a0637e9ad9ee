"""usage: opencv_dnn.py FOLDER: OpenCV's DNN module on FOLDER/opencv.onnx."""
import sys

import cv2

from contestant import check, read_input, serve


def main(folder):
    net = cv2.dnn.readNetFromONNX(f"{folder}/opencv.onnx")
    images = read_input(folder)

    def run():
        net.setInput(images)
        return net.forward()

    check(folder, run())
    serve(f"OpenCV {cv2.__version__}, {cv2.getNumThreads()} threads", run)


if __name__ == "__main__":
    main(*sys.argv[1:])
